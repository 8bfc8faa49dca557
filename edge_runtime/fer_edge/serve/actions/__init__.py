"""Actions on label changes without a broker: `command` runs a program, `webhook` calls an address.

`sink` gives both what changed; each works in its own thread, so a slow program or server holds up nothing.
"""
