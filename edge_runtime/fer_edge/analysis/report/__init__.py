"""The report: one HTML file with drawings inside, without scripts, that needs nothing from outside.

html      elements and tables; everything is escaped
charts    drawings by matplotlib as inline SVG; `axes` has their time axis
sections  what was seen; network: how far to trust it
page      sections in order, and the style of the page
"""
