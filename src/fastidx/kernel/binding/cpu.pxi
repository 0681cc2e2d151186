# What the processor offers, and which variants of the kernel run.

def _init():
    fi_cpu_init(settings.portable())


_init()


class CpuFeatures(NamedTuple):
    """The variants of the kernel in use, and what this processor offers.

    Attributes
    ----------
    inflate, crc32, swap, expand, markers : str
        Name of the variant in use.
    features : tuple of str
        The instruction sets found.
    portable_forced : bool
        Whether ``FASTIDX_PORTABLE`` forbids all but the portable variants.
    """

    inflate: str
    crc32: str
    swap: str
    expand: str
    markers: str
    features: tuple
    portable_forced: bool


def cpu_features():
    """Return which variants of the kernel run on this processor.

    Returns
    -------
    CpuFeatures
        A named tuple.

    Examples
    --------
    >>> import fastidx
    >>> fastidx.cpu_features()._fields
    ('inflate', 'crc32', 'swap', 'expand', 'markers', 'features', 'portable_forced')
    """
    cdef const fi_cpu_features *cpu = fi_cpu()
    found = {
        "bmi2": cpu.bmi2,
        "avx2": cpu.avx2,
        "pclmul": cpu.pclmul,
        "vpclmul": cpu.vpclmul,
        "vpclmul_512": cpu.vpclmul_512,
        "vbmi_512": cpu.vbmi_512,
        "arm_crc": cpu.arm_crc,
        "arm_pmull": cpu.arm_pmull,
    }
    return CpuFeatures(
        fi_inflate_variant().decode(),
        fi_crc32_variant().decode(),
        fi_swap_variant().decode(),
        fi_expand_variant().decode(),
        fi_markers_variant().decode(),
        tuple(name for name, present in found.items() if present),
        bool(cpu.portable_forced),
    )
