"""The bytes of images and videos: their formats, whether they are complete, and how to decode them correctly.

`door` decodes every image of fer-edge and fer-train, `formats` reads image headers and ends, `avif` what an AVIF holds.
`captures` is the only way to OpenCV's FFmpeg. `containers` reads the indexes and ends of videos, `structure` finds
damage in them, `ends` counts missing frames, `interlaced` decodes interlaced videos, `playlists` recognizes files that
name others. `parameters` says how many frames a video's decoder keeps, `decoder_memory` what that takes, and
`ffmpeg_memory` bounds what FFmpeg allocates. `remote/` is about servers. `library_messages` keeps what C libraries
print, `suffixes` has the names of image files.
"""
