"""The import path of the training guide; everything lives in `occworld`."""
