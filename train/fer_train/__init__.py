"""Train small facial-emotion networks on FER2013 or on your own faces (needs the extra `[train]`)."""
