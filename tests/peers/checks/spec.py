"""spec.py URL: openapi-spec-validator accepts the merged document and every bridge's own as OpenAPI 3.1."""

from openapi_spec_validator import OpenAPIV31SpecValidator

from document import end, get, ready

faults = []
operations = 0
paths = ["/openapi.json", *(f"/{bridge}/openapi.json" for bridge in ready())]
for path in paths:
    document = get(path)
    operations += len(document.get("paths", {}))
    if not str(document.get("openapi", "")).startswith("3.1"):
        faults.append(f"{path}: `openapi` is {document.get('openapi')!r}")
    for error in OpenAPIV31SpecValidator(document).iter_errors():
        place = "/".join(str(part) for part in error.absolute_path)
        faults.append(f"{path}: at {place}: {error.message[:300]}")
        if len(faults) > 100:
            break
end(faults, f"{len(paths)} documents with {operations} paths are OpenAPI 3.1, {len(faults)} faults")
