# KAPPASCOPE_GPU_CORE: the files of core that the forward pass and .npz files need. `make gpu-check`
# builds these alone, and a test links them alone.
cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH core_root)
file(GLOB KAPPASCOPE_GPU_CORE CONFIGURE_DEPENDS ${core_root}/core/*.cpp
     ${core_root}/core/checkpoint/*.cpp ${core_root}/core/engine/*.cpp ${core_root}/core/model/*.cpp
     ${core_root}/core/model/families/*.cpp)
# tests/gpu/machine/no_deflate.cpp is in the place of the first.
list(REMOVE_ITEM KAPPASCOPE_GPU_CORE ${core_root}/core/checkpoint/deflate.cpp
     ${core_root}/core/csv_text.cpp)
list(APPEND KAPPASCOPE_GPU_CORE ${core_root}/core/trace/npz_writer.cpp
     ${core_root}/core/trace/npy_header.cpp ${core_root}/core/trace/zip_records.cpp
     ${core_root}/core/trace/output_file.cpp)
