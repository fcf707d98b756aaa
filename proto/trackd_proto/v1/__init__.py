"""Generated protobuf and gRPC code of the wire package `trackd.v1`. Made by `poe proto`."""
