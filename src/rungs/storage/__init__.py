"""Files: complete or absent, locked while they are written, checked when they are read.

Result files (HDF5), tensors (safetensors), the beacons of running processes, and the reading of
untrusted input lie here. The room may import numerics; every room above may import it. It knows no
model and no profile, and its code is in no key: stored formats carry a version number instead.
"""
