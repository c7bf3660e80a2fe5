# KAPPASCOPE_GPU_CORE: the files of core below `root` that the forward pass and .npz files need.
# `make gpu-check` builds these alone, and a test links them alone.
file(GLOB KAPPASCOPE_GPU_CORE RELATIVE ${root} CONFIGURE_DEPENDS ${root}/core/*.cpp
     ${root}/core/checkpoint/*.cpp ${root}/core/engine/*.cpp ${root}/core/model/*.cpp
     ${root}/core/model/families/*.cpp)
# tests/gpu/machine/no_deflate.cpp is in the place of the first.
list(REMOVE_ITEM KAPPASCOPE_GPU_CORE core/checkpoint/deflate.cpp core/csv_text.cpp)
list(APPEND KAPPASCOPE_GPU_CORE core/trace/npz_writer.cpp core/trace/npy_header.cpp
     core/trace/zip_records.cpp core/trace/output_file.cpp)
