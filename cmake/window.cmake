# Dear ImGui and GLFW for the window, ImPlot for its benchmark: the sources of the pinned package
# imgui-bundle, which `make` unpacks into build/deps. Sets KAPPASCOPE_WINDOW to whether the window can
# be built.
set(KAPPASCOPE_GUI AUTO CACHE STRING "Build the window: AUTO (when its sources and GLFW are there), ON, OFF")
set_property(CACHE KAPPASCOPE_GUI PROPERTY STRINGS AUTO ON OFF)
set(KAPPASCOPE_WINDOW OFF)
if(KAPPASCOPE_GUI STREQUAL "OFF" OR KAPPASCOPE_SANITIZE)  # the sanitized tests are those of core
  return()
endif()

set(bundle "${CMAKE_SOURCE_DIR}/build/deps/imgui-bundle")
set(imgui "${bundle}/imgui/imgui")
pkg_check_modules(GLFW IMPORTED_TARGET glfw3>=3.3)
pkg_check_modules(FREETYPE IMPORTED_TARGET freetype2)
if(NOT EXISTS "${bundle}/complete" OR NOT GLFW_FOUND OR NOT FREETYPE_FOUND)
  if(KAPPASCOPE_GUI STREQUAL "ON")
    message(FATAL_ERROR "KAPPASCOPE_GUI=ON needs GLFW 3.3, FreeType and the sources in ${bundle}; "
                        "`make build` installs them")
  endif()
  message(STATUS "The window is not built: GLFW, FreeType or ${bundle} is missing")
  return()
endif()
set(KAPPASCOPE_WINDOW ON)
set(KAPPASCOPE_IMPLOT "${bundle}/implot/implot")
set(KAPPASCOPE_IMGUI_NULL "${imgui}/backends/imgui_impl_null.cpp")  # draws nothing: for tests

# Dear ImGui's frames are short beside what they show; at -O3 it takes twice as long to compile.
set(imgui_options -w $<$<CONFIG:Release>:-O1>)

# What knows nothing of the test engine is compiled once for all.
add_library(kappascope_imgui_parts OBJECT
  ${imgui}/imgui_draw.cpp ${imgui}/imgui_stacklayout.cpp ${imgui}/misc/freetype/imgui_freetype.cpp
  ${imgui}/misc/cpp/imgui_stdlib.cpp ${imgui}/backends/imgui_impl_glfw.cpp
  ${imgui}/backends/imgui_impl_opengl3.cpp)
target_include_directories(kappascope_imgui_parts SYSTEM PUBLIC "${imgui}" "${imgui}/backends"
                           "${imgui}/misc/cpp" "${imgui}/misc/freetype")
target_compile_definitions(kappascope_imgui_parts PUBLIC IMGUI_USE_WCHAR32 IMGUI_ENABLE_FREETYPE
                           IMGUI_DISABLE_OBSOLETE_FUNCTIONS IMGUI_DISABLE_DEMO_WINDOWS
                           IMGUI_DISABLE_DEFAULT_FONT_BITMAP)
target_compile_options(kappascope_imgui_parts PRIVATE ${imgui_options})
target_link_libraries(kappascope_imgui_parts PUBLIC PkgConfig::GLFW PkgConfig::FREETYPE)

# kappascope_add_imgui(NAME SOURCES…): the library as `NAME`, with further sources.
function(kappascope_add_imgui name)
  add_library(${name} STATIC ${imgui}/imgui.cpp ${imgui}/imgui_tables.cpp ${imgui}/imgui_widgets.cpp
              ${ARGN})
  target_compile_options(${name} PRIVATE ${imgui_options})
  target_link_libraries(${name} PUBLIC kappascope_imgui_parts)
endfunction()

# The same with the Dear ImGui Test Engine, for tests alone: its licence is another one.
function(kappascope_add_imgui_for_tests name)
  set(engine "${bundle}/imgui_test_engine/imgui_test_engine/imgui_test_engine")
  kappascope_add_imgui(${name}
    ${KAPPASCOPE_IMGUI_NULL} ${engine}/imgui_capture_tool.cpp
    ${engine}/imgui_te_context.cpp ${engine}/imgui_te_coroutine.cpp ${engine}/imgui_te_engine.cpp
    ${engine}/imgui_te_exporters.cpp ${engine}/imgui_te_perftool.cpp ${engine}/imgui_te_ui.cpp
    ${engine}/imgui_te_utils.cpp)
  target_include_directories(${name} SYSTEM PUBLIC "${engine}" PRIVATE "${engine}/..")
  target_compile_definitions(${name} PUBLIC IMGUI_ENABLE_TEST_ENGINE
                             IMGUI_TEST_ENGINE_ENABLE_STD_FUNCTION=1
                             IMGUI_TEST_ENGINE_ENABLE_COROUTINE_STDTHREAD_IMPL=1)
endfunction()
