-- The trace under which an event was written is one of the texts of its leaf (docs/evidence.md): what a
-- restored log takes back from here must be what was signed.
alter table archive add column trace text;
