"""The exchange of results: archives of runs, verification, and a profile's RO-Crate.

Archives are read as untrusted input. The room may import jobs and the rooms below it; report and every
room above may import it.
"""
