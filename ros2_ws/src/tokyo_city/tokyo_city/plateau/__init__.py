"""PLATEAU CityGML in, triangle meshes with semantic classes out."""
