"""What has a place on earth: scenes as files, their georeference, annotations as polygons, slicks as polygons.

A reader of another kind of scene belongs here, another vector attribute, another output for GIS.
"""
