"""Cut faces out of videos and photos for training: find, label, split by person, write.

sources   the videos and photos that are named, alone or in folders, each with a unique name for its faces
names     names of the faces' files that any system can hold
cutting   the faces of a video, of photos, and of a folder of face tiles, as the detector frames them
labels    a CSV that says which emotion a file, or a face, shows
people    which people's faces are kept aside for testing
folder    the written folder: faces by label, faces.csv
sheet     contact sheets of numbered faces
"""
