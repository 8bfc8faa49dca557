"""The drawn person of the `demo:` source, who acts the seven emotions.

`head` draws what does not move, `portrait` reads that from a file at the usual size, `features` draws what moves,
`scene` poses and places the person in a frame. The source that serves the frames is `fer_edge.sources.demo`.
"""
