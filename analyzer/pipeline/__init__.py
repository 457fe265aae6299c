"""The stages of a run, from grouped connections to a report.

Each stage frees its input, so that peak memory is that of one stage. The package depends on no path, engine, output format or exit
status.
"""
