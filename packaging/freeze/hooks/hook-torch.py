# Instead of the hook that PyInstaller brings, which carries all of torch's files, twice. Modules and the libraries that
# they are linked with are found without help; these are what torch opens by name.
from pathlib import Path

from PyInstaller.utils.hooks import get_package_paths

_folder = Path(get_package_paths("torch")[1])
_names = ["lib/libtorch_global_deps.so", "lib/libshm.so", "bin/torch_shm_manager", "lib/libtorch_global_deps.dylib"]
binaries = [(str(_folder / name), str((Path("torch") / name).parent)) for name in _names if (_folder / name).exists()]
if not binaries:  # Windows: whatever lies there
    binaries = [(str(file), "torch/lib") for file in (_folder / "lib").glob("*.dll")]
datas = [(str(_folder / "_dynamo" / "graph_break_registry.json"), "torch/_dynamo")]
datas = [(file, place) for file, place in datas if Path(file).exists()]
module_collection_mode = "pyz"
