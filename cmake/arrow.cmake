# Apache Arrow for Parquet files: the system's, else the headers and libraries inside the Python
# package pyarrow, which `make` puts into build/deps. Defines kappascope_arrow_parts where there is
# one; sets KAPPASCOPE_ARROW_RPATH, and KAPPASCOPE_ARROW_FOLDER where the libraries are that package's.
set(KAPPASCOPE_ARROW AUTO CACHE STRING "Read Parquet files with Apache Arrow: AUTO (where it is there), ON or OFF")
set_property(CACHE KAPPASCOPE_ARROW PROPERTY STRINGS AUTO ON OFF)
if(NOT KAPPASCOPE_ARROW MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "KAPPASCOPE_ARROW='${KAPPASCOPE_ARROW}'; expected AUTO, ON or OFF")
endif()
set(KAPPASCOPE_ARROW_RPATH "")
if(KAPPASCOPE_ARROW STREQUAL "OFF")
  return()
endif()

# An older one has other calls.
find_package(Arrow 26 QUIET CONFIG)
find_package(Parquet 26 QUIET CONFIG)
if(Arrow_FOUND AND Parquet_FOUND)
  add_library(kappascope_arrow_parts INTERFACE)
  target_link_libraries(kappascope_arrow_parts INTERFACE Parquet::parquet_shared Arrow::arrow_shared)
  message(STATUS "Parquet: Arrow ${Arrow_VERSION} of the system")
  return()
endif()

file(GLOB pyarrow "${CMAKE_SOURCE_DIR}/build/deps/arrow/lib/python3*/site-packages/pyarrow")
# Each library under the one name that the linker writes down: libarrow.so.2600.
file(GLOB arrow_libraries "${pyarrow}/libarrow.so.*00" "${pyarrow}/libparquet.so.*00")
list(LENGTH arrow_libraries arrow_count)
if(NOT EXISTS "${CMAKE_SOURCE_DIR}/build/deps/arrow/complete" OR NOT arrow_count EQUAL 2)
  if(KAPPASCOPE_ARROW STREQUAL "ON")
    message(FATAL_ERROR "KAPPASCOPE_ARROW is ON, but neither Arrow 26 nor build/deps/arrow is there; "
                        "`make build` installs it")
  endif()
  message(STATUS "Parquet files are not read: no Arrow 26 and no build/deps/arrow")
  return()
endif()
add_library(kappascope_arrow_parts INTERFACE)
target_include_directories(kappascope_arrow_parts SYSTEM INTERFACE "${pyarrow}/include")
target_link_libraries(kappascope_arrow_parts INTERFACE ${arrow_libraries})
set(KAPPASCOPE_ARROW_FOLDER "${pyarrow}")
# By a relative path, as Torch, so that the tree may be moved.
cmake_path(RELATIVE_PATH pyarrow BASE_DIRECTORY "${CMAKE_BINARY_DIR}" OUTPUT_VARIABLE KAPPASCOPE_ARROW_RPATH)
string(PREPEND KAPPASCOPE_ARROW_RPATH "$ORIGIN/")
