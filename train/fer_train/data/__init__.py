"""Read face data sets: FER2013 in all the forms it goes around in, and a user's own.

containers   a folder, a .zip or .tar, or one file, maybe compressed: names in, streams out
table        CSV files with a column of pixels
folders      folders of pictures, a folder a class
pictures     one picture to a 48 x 48 grey face
ferplus      FER+ votes
classes      keep, drop, merge and match classes
splits       hold out a part for testing
load         all of it in the right order: load_faces, load_unlabelled
"""

from fer_train.data.classes import place
from fer_train.data.faces import (
    FACE_SIZE,
    FER2013_CLASSES,
    PRIVATE_TEST,
    PUBLIC_TEST,
    TRAINING,
    FaceData,
    UnlabeledFaces,
    also_in,
    fingerprints,
)
from fer_train.data.ferplus import FERPLUS_COLUMNS, majority_labels
from fer_train.data.loading import check_trainable, load_faces, load_unlabeled, read_faces

__all__ = [
    "FACE_SIZE",
    "FER2013_CLASSES",
    "FERPLUS_COLUMNS",
    "PRIVATE_TEST",
    "PUBLIC_TEST",
    "TRAINING",
    "FaceData",
    "UnlabeledFaces",
    "also_in",
    "check_trainable",
    "fingerprints",
    "load_faces",
    "load_unlabeled",
    "majority_labels",
    "place",
    "read_faces",
]
