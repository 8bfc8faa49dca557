"""Watch a run from a browser or a program: a dashboard and REST, with starlette and uvicorn (the extra `web`).

The sink in `dashboard` gives results to `live`, which hands the newest to every client; `server` runs the event loop in
a thread. Of a request, `guard` decides whether it may pass and `app` which route answers it: `api` (JSON), `streams`
(events and images), `pages` (the dashboard) or `uploads` (faces of an image that a client sends).
"""
