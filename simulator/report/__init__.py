"""What an answer looks like: words, tables, figures, one page, one trace file.

Only the figures and the page import plotly, which takes longer than a simulation: import the module you need.
"""
