"""How fast is it, and what does it take?

latency (the networks), pipeline (a clip to labels), runtime (overhead), camera_decode, video_out (encoders), serving
(viewers), footprint (disk, start, memory), packages (what pip installs), soak (hours) and training. model_variants is a
helper of latency and pipeline, viewers of serving. The Raspberry Pi has its own folder.
"""
