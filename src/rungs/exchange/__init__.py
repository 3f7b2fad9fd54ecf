"""The exchange of results: archives of runs, evidence, verification, and a profile's RO-Crate.

Archives and evidence are read as untrusted input. The room may import jobs and the rooms below it; report
and every room above may import it.
"""
