// Lints an OpenAPI document: `node lint.mjs FILE`.

import { createConfig, lint } from "@redocly/openapi-core";

// A revocation has the properties of one alternative and of its own, which the rules would take for additional ones.
const examples = { severity: "error", allowAdditionalProperties: true };

const config = await createConfig({
  // Every warning is an error.
  extends: ["recommended-strict"],
  rules: {
    "no-invalid-media-type-examples": examples,
    "no-invalid-parameter-examples": examples,
    "no-invalid-schema-examples": examples,
    "tag-description": "error",
    // Of `/authy/user/session` and `/authy/user/{public_id}`, the one without a parameter is found first (OpenAPI 3.1,
    // section 4.8.8.2).
    "no-ambiguous-paths": "off",
    // One endpoint always fails, and one always redirects.
    "operation-2xx-response": "off",
  },
});

const problems = await lint({ ref: process.argv[2], config });
for (const { ruleId, message, location } of problems) {
  console.error(`${location[0]?.pointer}: ${message} (${ruleId})`);
}
process.exitCode = problems.length === 0 ? 0 : 1;
