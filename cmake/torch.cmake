# Torch: the folder of an installed Python package. Sets torch_root and KAPPASCOPE_TORCH_RPATH, defines
# kappascope_torch and kappascope_torch_cuda.

set(KAPPASCOPE_TORCH_ROOT "" CACHE STRING
    "Folder of the Python package torch (holds include/, lib/); from the source folder if relative")
cmake_path(ABSOLUTE_PATH KAPPASCOPE_TORCH_ROOT BASE_DIRECTORY "${CMAKE_SOURCE_DIR}" NORMALIZE
           OUTPUT_VARIABLE torch_root)
if(NOT EXISTS "${torch_root}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "KAPPASCOPE_TORCH_ROOT='${KAPPASCOPE_TORCH_ROOT}' holds no lib/libtorch_cpu.so; "
                      "`make build` finds or installs Torch, or give the folder of your own")
endif()
# Not find_package(Torch): without a CUDA toolkit the wheel's own CMake file stops with an error,
# and it would link libtorch_cuda, which costs 0.25 s and 350 MB at the first use.
add_library(kappascope_torch INTERFACE)
target_include_directories(kappascope_torch SYSTEM INTERFACE
                           "${torch_root}/include" "${torch_root}/include/torch/csrc/api/include")
target_link_libraries(kappascope_torch INTERFACE "${torch_root}/lib/libtorch_cpu.so"
                      "${torch_root}/lib/libc10.so")
# Torch's header of its Gloo group includes headers of Gloo that the package leaves out; what it needs
# of them are names of types.
if(NOT EXISTS "${torch_root}/include/gloo/context.h")
  foreach(header algorithm common/error context rendezvous/store transport/device)
    file(CONFIGURE OUTPUT generated/gloo/gloo/${header}.h CONTENT "#include \"core/forward/gloo_names.h\"\n")
  endforeach()
  target_include_directories(kappascope_torch SYSTEM INTERFACE "${CMAKE_BINARY_DIR}/generated/gloo")
endif()
# at::parallel_for is compiled where it is called, and without OpenMP it is a plain loop. GCC's is
# the runtime that Torch brings along, so that both share one set of threads.
find_package(OpenMP REQUIRED COMPONENTS CXX)
target_link_libraries(kappascope_torch INTERFACE OpenMP::OpenMP_CXX)
# libtorch_cuda registers its kernels when it is loaded: it must be, though nothing names it. What it
# needs itself (cuBLAS, cuDNN, …) is looked for at the first use, not when linking.
add_library(kappascope_torch_cuda INTERFACE)
target_link_libraries(kappascope_torch_cuda INTERFACE kappascope_torch)
target_link_options(kappascope_torch_cuda INTERFACE -Wl,--allow-shlib-undefined
                    "LINKER:--push-state,--no-as-needed" "${torch_root}/lib/libtorch_cuda.so"
                    "${torch_root}/lib/libc10_cuda.so" "LINKER:--pop-state")
# A Torch inside the checkout is found by a relative path, so that the tree may be moved, unless what
# is installed is to use it where it is now (cmake/install.cmake).
option(KAPPASCOPE_INSTALL_TORCH "install the libraries of Torch, too" ON)
cmake_path(IS_PREFIX CMAKE_SOURCE_DIR "${torch_root}" NORMALIZE torch_inside)
set(KAPPASCOPE_TORCH_RPATH "${torch_root}/lib")
if(torch_inside AND KAPPASCOPE_INSTALL_TORCH)
  cmake_path(RELATIVE_PATH KAPPASCOPE_TORCH_RPATH BASE_DIRECTORY "${CMAKE_BINARY_DIR}")
  string(PREPEND KAPPASCOPE_TORCH_RPATH "$ORIGIN/")
endif()

# What the engine library of every device is made of, files of core/forward; the MLPs and the device
# are each library's own.
set(KAPPASCOPE_FORWARD_PARTS attention engine_library feed_forward gate_keep kappa_function layer_record operations
    layer_source learned_experts learned_weights learning_call mixer_weights patched_outputs plain plain_gates
    plain_route predict tensor_bytes token_cache token_mixers trainer transformer weights)
