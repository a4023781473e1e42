"""tfrecs: recommenders for Keras 3."""
