-- What Neovim shows of the file that is open, and what a rename makes of it.
local function fail(why)
  io.stderr:write(why .. "\n")
  vim.cmd("cquit 1")
end

local function lines(from, to)
  return vim.api.nvim_buf_get_lines(0, from, to, false)
end

if not vim.wait(20000, function() return #vim.diagnostic.get(0) > 0 end, 10) then
  fail("no problem is shown")
end
for _, problem in ipairs(vim.diagnostic.get(0)) do
  print(problem.source, problem.lnum, problem.code)
end
vim.api.nvim_win_set_cursor(0, { 4, 18 })
vim.lsp.buf.rename("receipt")
if not vim.wait(20000, function() return lines(6, 7)[1]:find("receipt") ~= nil end, 10) then
  fail("nothing is renamed")
end
print(lines(3, 4)[1])
print(lines(6, 7)[1])
vim.cmd("qall!")
