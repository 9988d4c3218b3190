"""What moe_keras and moe_labs share and what needs neither Keras nor the course.

Grading a class must not load Keras, and the library must not load the course; what both need has
this room of its own.
"""
