# `make install` and `make package`: a folder that can be moved, with the program, its engine and the
# libraries of Torch that it needs.
#
#   bin/kappascope                    a link to lib/kappascope/kappascope
#   lib/kappascope                    program, engine, and in torch/ and arrow/ what they load
#   share/kappascope                  models, texts and numbers that are shipped, kappascope_trace.py
#   share/man, share/…/completions    made of what --help prints
#
# With KAPPASCOPE_INSTALL_TORCH=OFF the libraries of Torch are found where they are now instead; those of
# CUDA, which are gigabytes, always.
set(home lib/kappascope)
# The loader looks there; what was built looks into build/deps. With the library goes all that it needs
# and that no package of the system has: Torch's CPU library alone needs two of CUDA, which are elsewhere.
function(kappascope_install_library target folder libraries)
  install(TARGETS ${target} LIBRARY DESTINATION ${home})
  set(file "\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${home}/$<TARGET_FILE_NAME:${target}>")
  get_target_property(built ${target} INSTALL_RPATH)
  install(CODE "
    file(GET_RUNTIME_DEPENDENCIES LIBRARIES \"$<TARGET_FILE:${target}>\" DIRECTORIES \"${libraries}\"
         RESOLVED_DEPENDENCIES_VAR needed UNRESOLVED_DEPENDENCIES_VAR absent CONFLICTING_DEPENDENCIES_PREFIX twice)
    file(RPATH_CHANGE FILE \"${file}\" OLD_RPATH \"${built}\" NEW_RPATH \"\$ORIGIN/${folder}\")
    if(absent)
      message(FATAL_ERROR \"${target} needs libraries that are not found: \${absent}\")
    endif()
    file(REAL_PATH \"${libraries}\" theirs)
    foreach(library IN LISTS needed)
      get_filename_component(name \"\${library}\" NAME)
      file(REAL_PATH \"\${library}\" library)
      cmake_path(IS_PREFIX theirs \"\${library}\" is_theirs)
      if(is_theirs OR NOT library MATCHES \"^(/usr)?/lib(32|64|x32)?/\" OR name MATCHES \"^lib(cudart|cupti)[.]so\")
        file(INSTALL \"\${library}\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${home}/${folder}\" RENAME \"\${name}\")
      endif()
    endforeach()")
endfunction()

install(TARGETS kappascope RUNTIME DESTINATION ${home})
if(TARGET kappascope_engine)
  if(KAPPASCOPE_INSTALL_TORCH)
    kappascope_install_library(kappascope_engine torch "${torch_root}/lib")
  else()
    install(TARGETS kappascope_engine LIBRARY DESTINATION ${home})
  endif()
  if(TARGET kappascope_cuda)  # the libraries of CUDA are gigabytes: they stay where they are
    install(TARGETS kappascope_cuda LIBRARY DESTINATION ${home})
    install(CODE "file(RPATH_SET FILE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${home}/$<TARGET_FILE_NAME:kappascope_cuda>\"
                       NEW_RPATH \"${torch_root}/lib\")")
  endif()
endif()
if(TARGET kappascope_arrow AND KAPPASCOPE_ARROW_FOLDER)
  kappascope_install_library(kappascope_arrow arrow ${KAPPASCOPE_ARROW_FOLDER})
elseif(TARGET kappascope_arrow)
  install(TARGETS kappascope_arrow LIBRARY DESTINATION ${home})
endif()

install(DIRECTORY assets/d4-kappa assets/d6-softmoe assets/d8-kappa assets/d8-swiglu assets/selftest
                  assets/texts assets/tokenizer assets/python
        DESTINATION share/kappascope PATTERN __pycache__ EXCLUDE)
install(FILES LICENSE DESTINATION share/doc/kappascope RENAME copyright)
install(FILES assets/desktop/kappascope.desktop DESTINATION share/applications)
install(FILES assets/desktop/kappascope.svg DESTINATION share/icons/hicolor/scalable/apps)
install(FILES assets/desktop/kappascope.metainfo.xml DESTINATION share/metainfo)
install(FILES assets/desktop/kappascope.xml DESTINATION share/mime/packages)
install(CODE "
  set(prefix \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
  file(MAKE_DIRECTORY \"\${prefix}/bin\")
  file(CREATE_LINK ../${home}/kappascope \"\${prefix}/bin/kappascope\" SYMBOLIC)
  file(CREATE_LINK ../../share/kappascope \"\${prefix}/${home}/assets\" SYMBOLIC)
  execute_process(COMMAND python3 -B \"${CMAKE_SOURCE_DIR}/cmake/from_help.py\" \"\${prefix}/${home}/kappascope\" \"\${prefix}/share\"
                  COMMAND_ERROR_IS_FATAL ANY)")

set(CPACK_PACKAGE_NAME kappascope)
set(CPACK_PACKAGE_VENDOR kappascope)
set(CPACK_PACKAGE_CONTACT "the developers of kappascope <kappascope@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Mixture-of-experts checkpoints: routers, κ and gates, per token, expert and layer")
set(CPACK_PACKAGE_FILE_NAME "kappascope-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_GENERATOR "DEB;TZST")
set(CPACK_ARCHIVE_THREADS 0)
set(CPACK_STRIP_FILES OFF)  # one that is stripped would have another sum than the one that was tested
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libgl1, fonts-dejavu-core")  # for the window; opened when it starts
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${torch_root}/lib")
if(KAPPASCOPE_ARROW_FOLDER)
  list(APPEND CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${KAPPASCOPE_ARROW_FOLDER}")
endif()
include(CPack)
