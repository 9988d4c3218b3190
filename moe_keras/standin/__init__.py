"""Painters of the stand-ins: generated images for datasets that cannot be downloaded.

Only `moe_keras.data` opens this room, and only when a stand-in has to be painted.
"""

# Part of the cache's file name and of the seeds: raise it with every change of what is generated.
VERSION = 1
