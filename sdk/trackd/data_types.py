"""All data types by their names in the reference: `trackd.data_types.Bokeh`, ..."""

from trackd.media.audio import Audio
from trackd.media.bokeh import Bokeh
from trackd.media.boxes import BoundingBoxes2D
from trackd.media.classes import Classes
from trackd.media.graph import Graph, Node
from trackd.media.histogram import Histogram
from trackd.media.html import Html
from trackd.media.image import Image
from trackd.media.masks import ImageMask
from trackd.media.molecule import Molecule
from trackd.media.object3d import Object3D, box3d
from trackd.media.plotly import Plotly
from trackd.media.video import Video
from trackd.tables import Table
from trackd.tables.joins import JoinedTable, PartitionedTable

__all__ = [
    "Audio",
    "Bokeh",
    "BoundingBoxes2D",
    "Classes",
    "Graph",
    "Histogram",
    "Html",
    "Image",
    "ImageMask",
    "JoinedTable",
    "Molecule",
    "Node",
    "Object3D",
    "PartitionedTable",
    "Plotly",
    "Table",
    "Video",
    "box3d",
]
