# Instead of the hook that PyInstaller brings, which carries all of torch's files, and each module twice. Libraries are
# found by what links them; these are what torch opens by name.
import re
from pathlib import Path

from PyInstaller.utils.hooks import get_package_paths

from freeze.contents import is_used_of_torch

_folder = Path(get_package_paths("torch")[1])
_names = ["lib/libtorch_global_deps.so", "lib/libtorch_global_deps.dylib", "lib/libshm.so", "bin/torch_shm_manager"]
binaries = [(str(_folder / name), str((Path("torch") / name).parent)) for name in _names if (_folder / name).exists()]
binaries += [(str(file), "torch/lib") for file in (_folder / "lib").glob("*.dll")]
datas = [(str(_folder / "_dynamo" / "graph_break_registry.json"), "torch/_dynamo")]
datas = [(file, place) for file, place in datas if Path(file).exists()]
_READ = re.compile(r"install_config_module\(|^ *@.*\b_overload(_method)?\b|import .*\b_overload\b", re.M)
for _file in sorted(_folder.rglob("*.py")):  # torch reads its own source when these are imported
    if _READ.search(_file.read_text(encoding="utf-8")):
        datas.append((str(_file), str(_file.parent.relative_to(_folder.parent))))


def _name(file):
    parts = file.relative_to(_folder.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


hiddenimports = [name for name in map(_name, sorted(_folder.rglob("*.py"))) if is_used_of_torch(name)]
warn_on_missing_hiddenimports = False
module_collection_mode = "pyz"
bindepend_symlink_suppression = ["**/torch/lib/*.so*"]  # torch looks for its folder by where its libraries lie
