"""Read face data sets: FER2013 in every form it is distributed in, and users' own faces.

containers   one interface to folders, archives and single files, compressed or not
kaggle       downloads from Kaggle
csv_table    any CSV file as pandas blocks with row numbers
csv_faces    CSV files with a pixels column
folders      folders of images, one folder per class
images       one image file to a 48 x 48 gray face
faults       rows and images that can't be read: refused or skipped
faces        FaceData and UnlabeledFaces, the arrays that everything else works on
ferplus      FER+ votes
classes      keep, drop, merge and align classes
loading      all of the above in the right order: load_faces, load_unlabeled
npz_faces    .npz files of unlabeled faces for distillation
statistics   what a data set holds
writers      FaceData to a CSV or to folders of PNGs

Batches, augmentation and everything else that needs PyTorch belong to training/.
"""

from fer_train.data.classes import align_classes
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
from fer_train.data.ferplus import (
    FERPLUS_CLASSES,
    FERPLUS_COLUMNS,
    majority_labels,
    majority_protocol,
    vote_distribution,
)
from fer_train.data.loading import check_trainable, load_faces, load_unlabeled, read_faces

__all__ = [
    "FACE_SIZE",
    "FER2013_CLASSES",
    "FERPLUS_CLASSES",
    "FERPLUS_COLUMNS",
    "PRIVATE_TEST",
    "PUBLIC_TEST",
    "TRAINING",
    "FaceData",
    "UnlabeledFaces",
    "align_classes",
    "also_in",
    "check_trainable",
    "fingerprints",
    "load_faces",
    "load_unlabeled",
    "majority_labels",
    "majority_protocol",
    "read_faces",
    "vote_distribution",
]
