"""Displacements of regions of a clip without any network: waveforms, spectra, floors and units."""
