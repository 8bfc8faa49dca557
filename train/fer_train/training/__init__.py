"""Training of an emotion network, on one process or several.

options       TrainOptions: everything that decides how a network is trained
trainer       Trainer: the epochs, best.pt and last.pt
student       the network in training
targets       what each head learns and is measured against
batches       the faces on the device, and the batches of an epoch
augment       random changes of whole batches of faces
schedule      the optimizer and its learning rate, also of added epochs
losses        cross-entropy with soft targets, distillation, class weights
distillation  teacher networks
ema           moving average of the weights
qat           quantization-aware training
history       what is recorded per epoch; history.csv
resume        last.pt
distributed   several processes (torchrun)

Networks and their files are in fer_train.networks, scores in fer_train.evaluation, the detector's training in
fer_train.detection. Nothing here depends on the command line; importing a module has no side effects.
"""
