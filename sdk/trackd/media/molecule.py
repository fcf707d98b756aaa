"""`Molecule`: three-dimensional structures of molecules."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from trackd.libraries import load
from trackd.media.stored import ANY_NUMBER, Media, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

_RDKIT = "rdkit"


class Molecule(Media):
    """A molecule, from a file in one of the usual formats.

    Args:
        data_or_path: path of a file, or a file object.
        caption: text shown with it.
        file_type: format of what a file object without a name holds, such as `pdb`.

    Raises:
        ValueError: no known format, or `data_or_path` is nothing of that.
        TypeError: a file object without a name holds bytes.
        OSError: the file cannot be read.
    """

    SUPPORTED_TYPES: ClassVar[frozenset[str]] = frozenset(
        {"pdb", "pqr", "mmcif", "mcif", "cif", "sdf", "sd", "gro", "mol2", "mmtf"}
    )
    SUPPORTED_RDKIT_TYPES: ClassVar[frozenset[str]] = frozenset({"mol", "sdf"})
    log_type = "molecule-file"
    folder = "media/molecule"
    max_batch = ANY_NUMBER

    def __init__(
        self,
        data_or_path: str | Path | TextIO,
        caption: str | None = None,
        **kwargs: str,
    ) -> None:
        super().__init__(caption)
        source = _name_of(data_or_path)
        if isinstance(source, str | Path):
            kind = Path(source).suffix[1:]
            _check_format(f"{str(source)!r}", kind, self.SUPPORTED_TYPES)
            self.refer(source)
        elif hasattr(source, "read"):
            kind = kwargs.get("file_type")
            if kind is None:
                raise ValueError(
                    "Molecule: a file object without a name needs file_type='pdb', ..."
                )
            _check_format(f"file_type={kind!r}", kind, self.SUPPORTED_TYPES)
            self.hold(read_text("Molecule", source).encode(), f".{kind}")
        else:
            raise ValueError(
                f"Molecule: data_or_path is of type {type(data_or_path).__name__}: "
                "use a path or a file object"
            )

    @classmethod
    def from_rdkit(
        cls,
        data_or_path: Any,
        caption: str | None = None,
        convert_to_3d_and_optimize: bool = True,
        mmff_optimize_molecule_max_iterations: int = 200,
    ) -> Self:
        """Return a molecule that RDKit knows.

        Args:
            data_or_path: a `rdkit.Chem.Mol`, or path of a `mol` or `sdf` file (its first one).
            caption: text shown with it.
            convert_to_3d_and_optimize: compute coordinates of the atoms; may take long.
            mmff_optimize_molecule_max_iterations: most steps of that computation.

        Raises:
            ValueError: a file of another format.
            TypeError: `data_or_path` is nothing of that.
            Error: RDKit is not installed.
        """
        chem = load("rdkit.Chem", "Molecule.from_rdkit", _RDKIT)
        if isinstance(data_or_path, str | Path):
            molecule = _read_with_rdkit(chem, Path(data_or_path), cls.SUPPORTED_RDKIT_TYPES)
        elif isinstance(data_or_path, chem.rdchem.Mol):
            molecule = data_or_path
        else:
            raise TypeError(
                f"Molecule.from_rdkit: data_or_path is of type {type(data_or_path).__name__}: "
                "use a path or a rdkit.Chem.Mol"
            )
        if convert_to_3d_and_optimize:
            forces = load("rdkit.Chem.AllChem", "Molecule.from_rdkit", _RDKIT)
            molecule = chem.AddHs(molecule)
            forces.EmbedMolecule(molecule)
            steps = mmff_optimize_molecule_max_iterations
            forces.MMFFOptimizeMolecule(molecule, maxIters=steps)
        block = chem.rdmolfiles.MolToPDBBlock(molecule)
        return cls(io.StringIO(block), caption=caption, file_type="pdb")

    @classmethod
    def from_smiles(
        cls,
        data: str,
        caption: str | None = None,
        sanitize: bool = True,
        convert_to_3d_and_optimize: bool = True,
        mmff_optimize_molecule_max_iterations: int = 200,
    ) -> Self:
        """Return a molecule given as a SMILES text.

        Args:
            data: the text.
            caption: text shown with it.
            sanitize: check that the molecule is possible.
            convert_to_3d_and_optimize: compute coordinates of the atoms; may take long.
            mmff_optimize_molecule_max_iterations: most steps of that computation.

        Raises:
            ValueError: RDKit cannot read the text.
            Error: RDKit is not installed.
        """
        chem = load("rdkit.Chem", "Molecule.from_smiles", _RDKIT)
        molecule = chem.MolFromSmiles(data, sanitize=sanitize)
        if molecule is None:
            raise ValueError(f"Molecule.from_smiles: {data!r} is no SMILES text")
        return cls.from_rdkit(
            molecule, caption, convert_to_3d_and_optimize, mmff_optimize_molecule_max_iterations
        )

    @classmethod
    def batch_form(cls, items: Sequence[Any], forms: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what stands for a list of molecules."""
        captions = False if items[0].caption is None else [item.caption for item in items]
        return {
            "_type": "molecule",
            "filenames": [form["path"] for form in forms],
            "count": len(forms),
            "captions": captions,
        }


def _name_of(source: Any) -> Any:
    """Return the path of a file object that has one."""
    name = None if isinstance(source, Path) else getattr(source, "name", None)
    return name if isinstance(name, str) else source  # temporary files have numbers for names


def _check_format(what: str, kind: str, known: frozenset[str]) -> None:
    if kind not in known:
        raise ValueError(f"Molecule: {what} is of no known format: use {', '.join(sorted(known))}")


def _read_with_rdkit(chem: Any, path: Path, known: frozenset[str]) -> Any:
    kind = path.suffix[1:]
    _check_format(f"{str(path)!r}", kind, known)
    if kind == "sdf":
        with chem.SDMolSupplier(str(path)) as molecules:
            return next(molecules)
    return chem.MolFromMolFile(str(path))
