"""Code that protoc generated from `mesos_v1/protos`: never edited by hand, read through `mesos_v1.pb`.

To change it, edit the `.proto` files and run `python tools/generate_protobuf.py`.
"""
