"""The documents that are replicated, as they are cited."""

from __future__ import annotations

#: id in configuration and registries -> name
DOCUMENTS = {
    "ladder": "Ladder VAE (Sønderby et al. 2016)",
    "mixture": "Mixture priors and posteriors",
    "vq": "VQ-VAE (van den Oord et al. 2017)",
    "vae": "VAE tutorial",
    "moments": "Moments of the latent space (Asperti 2019)",
}
#: what is not of one document
COMMON = "All documents"


def document_name(document: str | None) -> str:
    """A document as it is cited.

    >>> document_name("ladder"), document_name(None)
    ('Ladder VAE (Sønderby et al. 2016)', 'All documents')
    """
    return COMMON if document is None else DOCUMENTS.get(document, document)
