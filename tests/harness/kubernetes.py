"""Validates the documents of Kubernetes manifests: `kubernetes.py VERSION[,VERSION…] FILE…`. Prints them as JSON.

A field that a version does not know is an error. The document of kustomize itself has no schema, and is only printed.
"""

import json
import sys

import kubernetes_validate
import yaml

versions = sys.argv[1].split(",")
documents, wrong = {}, []
for name in sys.argv[2:]:
    with open(name, encoding="utf-8") as file:
        [document] = yaml.safe_load_all(file)
    documents[document["kind"]] = document
    for version in versions if document["kind"] != "Kustomization" else []:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            wrong.append(f"{name}: Kubernetes {version}: {path}: {error.message[:300]}")
        except kubernetes_validate.SchemaNotFoundError:
            wrong.append(f"{name}: Kubernetes {version} has no {document['apiVersion']} {document['kind']}")
print(json.dumps(documents))
sys.exit("\n".join(wrong) or None)
