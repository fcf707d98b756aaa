"""Object stores as references need them: S3, Google Cloud Storage, Azure and plain HTTP servers.

Each store is one small dialect (`s3`, `gcs`, `azure`) over one HTTP transport: what an object is
now, what lies below a prefix, which versions there are, and its bytes. It reads with the rights of
the user who runs the process and never writes. It knows nothing of artifacts; `trackd.artifacts`
turns objects into entries and entries into files.
"""
