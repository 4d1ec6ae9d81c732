"""Pictures of graphs: what there is to draw, and how it becomes DOT, Mermaid and SVG. For programs; the compiler adds live graphs.

``plan`` says what is in a graph, ``drawing`` makes nodes and edges of that, ``folding`` fewer of them, ``dot``, ``mermaid`` and ``layout``
write them down. ``looks`` has the colours and line styles, ``labels`` the escaping. ``of_program`` reads compiled code.
"""
