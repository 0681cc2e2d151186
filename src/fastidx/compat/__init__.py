"""Modules that offer what other packages offer, each under the name of what it replaces.

Changing the import is all that a program needs: ``import idx2numpy`` becomes
``from fastidx.compat import idx2numpy``. Names, signatures, results and types are those of the
original; errors are of its types and of fastidx's too. The docstring of each module lists where
it differs on purpose.

=====================  ==================================================
Module                 Replaces
=====================  ==================================================
``idx2numpy``          the package idx2numpy
``keras``              ``keras.datasets``: mnist and fashion_mnist
``mlxtend``            ``mlxtend.data``: loadlocal_mnist
``mnist``              the package mnist
``opendatasets``       ``azureml.opendatasets``: MNIST, and ``load_data``
``python_mnist``       the package python-mnist
``torchvision``        ``torchvision.datasets``: the MNIST family
=====================  ==================================================

Nothing is imported here: each module, and what it needs, is loaded when it is asked for.
"""
