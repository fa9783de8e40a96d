# The backends: kernels by op, bound once. The CPU backend's own kernels (cpu/kernels/*.cpp) are compiled
# once per instruction set into namespaces of their own, and the best set is chosen at run time.
trireme_room(backend_cpu "runtime/backend/cpu;runtime/backend/cpu/split" trireme_graph dnnl::dnnl OpenMP::OpenMP_CXX)
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
# Products on bfloat16 matrix units, where the compiler knows them; used where the processor has them.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag("-mamx-bf16 -mavx512bf16" TRIREME_COMPILES_AMX)
set(split ${CMAKE_SOURCE_DIR}/runtime/backend/cpu/split)
set(units ${split}/amx.cpp ${split}/attention_forward.cpp ${split}/attention_backward.cpp
          ${split}/recurrent_amx.cpp)
if(TRIREME_COMPILES_AMX)
  set_source_files_properties(${split}/no_amx.cpp PROPERTIES HEADER_FILE_ONLY ON)
  set_source_files_properties(${units} PROPERTIES COMPILE_DEFINITIONS "TRIREME_ISA=matrix;TRIREME_LANES=16" COMPILE_OPTIONS
    "-O3;-march=x86-64-v4;-mprfchw;-mavx512bf16;-mamx-tile;-mamx-bf16;-mprefer-vector-width=512;-ffp-contract=fast;-Wno-psabi;-Wno-maybe-uninitialized;-Wno-uninitialized")
else()
  set_source_files_properties(${units} PROPERTIES HEADER_FILE_ONLY ON)
endif()
trireme_room(backend runtime/backend trireme_backend_cpu)
