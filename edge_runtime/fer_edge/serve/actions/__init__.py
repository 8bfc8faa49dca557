"""Actions on label changes without a broker: `command` runs a program, `webhook` calls an address.

`sink` gives both what changed; each works in a thread of its own, so a slow program or server holds up nothing.
"""
