"""The Raspberry Pi: the runtime under emulation, compared with this machine (`make pi`), and an estimate of its speed.

emulate and estimate are the commands; answers runs on the guest, the others belong to emulate.
"""
