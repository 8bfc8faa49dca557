"""What `overlay` draws with: colors, text, shapes, free space, and the panels made of them.

`colors`, `text` and `shapes` know nothing about faces. `space` finds room; `tags`, `bars` and `legend` place and draw
the marks of faces. Only `overlay` knows all of them. Reading and writing images belongs to `sinks.images`.
"""
