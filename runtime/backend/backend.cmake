# The backends: kernels by op, bound once. The CPU backend's own kernels (cpu/kernels/*.cpp) are compiled
# once per instruction set into namespaces of their own, and the best set is chosen at run time.
trireme_room(backend_cpu runtime/backend/cpu trireme_graph dnnl::dnnl OpenMP::OpenMP_CXX)
file(GLOB cpu_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/backend/cpu/kernels/*.cpp)
function(trireme_kernel_set isa lanes)
  add_library(trireme_kernels_${isa} OBJECT ${cpu_kernels})
  target_link_libraries(trireme_kernels_${isa} PRIVATE trireme_options OpenMP::OpenMP_CXX)
  target_compile_definitions(trireme_kernels_${isa} PRIVATE TRIREME_ISA=${isa} TRIREME_LANES=${lanes})
  target_compile_options(trireme_kernels_${isa} PRIVATE -O3 -ffp-contract=fast -Wno-psabi -Wno-pedantic
                         -Wno-maybe-uninitialized -Wno-uninitialized ${ARGN})  # of GCC 12's own AVX-512 header (bug 105593)
  target_sources(trireme_backend_cpu PRIVATE $<TARGET_OBJECTS:trireme_kernels_${isa}>)
endfunction()
if(cpu_kernels)
  trireme_kernel_set(avx512 16 -march=x86-64-v4 -mprefer-vector-width=512)
  trireme_kernel_set(avx2 8 -march=x86-64-v3)
  trireme_kernel_set(plain 4)
endif()
trireme_room(backend runtime/backend trireme_backend_cpu)
