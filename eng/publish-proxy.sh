#!/usr/bin/env bash
# Publishes the proxy with NativeAOT to artifacts/proxy (needs gcc or clang). Takes about a minute. The program needs a processor with
# AVX2 (any server since 2013); WEIR_CPU=x86-x64-v2 builds one that does not, and costs some 3 % more CPU a request.
set -euo pipefail
cd "$(dirname "$0")/.."
# A lock file and intermediate files of its own: the AOT compiler is not part of the ordinary restore.
dotnet publish apps/Weir.Proxy -f net9.0 -r linux-x64 -c Release -p:WeirAot=true \
  -p:BaseIntermediateOutputPath=obj-aot/ -p:NuGetLockFilePath=obj-aot/packages.lock.json -p:RestoreLockedMode=false \
  -p:IlcInstructionSet="${WEIR_CPU:-x86-x64-v3}" -o artifacts/proxy -v quiet -nologo "$@"
