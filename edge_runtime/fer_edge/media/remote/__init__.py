"""What servers answer: images, redirects and playlists.

`fetch` gets the image behind a URL. `redirects` and `rtsp` follow where servers lead, by the rule of `guards.hosts`.
`gate` checks the requests of playlists.
"""
