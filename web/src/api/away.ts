import { Refusal, Unreachable } from "./http"

/** No decision at all: nobody answered, or the portal did, but not the service behind it. */
export function isAway(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof Refusal && error.problem.status >= 500)
}
