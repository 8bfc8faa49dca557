"""Scenes to train a detector on, made from photos of faces: no network is trained here.

`pool` makes and reads the pool on disk, with the help of `workers`. Its scenes come from `scenes` (photos pasted over
one another) and `mosaic` (photos side by side); `teacher` relabels them. Their sources are `tiles` (photos),
`altered_heads`, `hard_negatives`, `textures` and `clutter`. `closeups` pastes FER2013's faces on images during
training. `batches` holds the operations on whole batches that several of them share. Nothing here imports the folder
above.
"""
